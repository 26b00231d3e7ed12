"""What `manage.py demo` is made of: a server, its visitors, and what is said about them."""
