"""What `edge doctor` looks at, a module for each part of a board."""
