"""Laws that hold for every input, and the comparison of the inference engine with a plain oracle."""
