"""Reading what a file says of itself, in jailed children: no file is trusted, and nothing here has a connection."""
