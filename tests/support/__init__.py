"""What tests of several layers share: fakes, waiting, given/when/then."""
