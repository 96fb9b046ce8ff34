"""What the workers cost and how fast they are, beside other ways to do the same: see README.md in this folder."""
