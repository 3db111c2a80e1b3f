"""What services need from the outside world, as small protocols."""
