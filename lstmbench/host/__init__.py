"""What lstmbench asks the machine and its operating system."""
