"""A whole board in one file, and back: taken while everything runs, checked before anything is changed."""
