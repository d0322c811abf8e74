"""What runs on your own machine: nothing deployed imports it."""
