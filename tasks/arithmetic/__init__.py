"""Reads a sum in words and figures and works it out exactly. Only `tasks.solve` uses it.

- `errors`: the reasons to refuse a question
- `values`: exact fractions, and bounds of numbers that are not fractions, such as pi
- `tokens`: cuts the text of a question into numbers, operators and words
- `numerals`: reads numbers in words: "three hundred and twenty-five", "two point five million"
- `parts`: the parts of a sum, each with its value and its form for ChatterBot
- `grammar`: reads the tokens of a question as one sum
"""
