"""Reads a sum in words and figures and works it out exactly. Used by `tasks.solve` alone.

errors    what a question can be refused for
values    exact fractions, and bounds around what no fraction equals
tokens    the text of a question, cut into numbers, operators and words
numerals  numbers in words: "three hundred and twenty-five", "two point five million"
grammar   tokens to one value and to the form in which ChatterBot is asked
"""
