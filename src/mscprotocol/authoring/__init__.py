"""The tools of whoever owns the rules: to look at them, to prove them, to compare them, and to print them."""
