"""What of the hands can be tested without using them."""
