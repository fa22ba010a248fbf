"""After a crash: what a start found, compared and did."""
