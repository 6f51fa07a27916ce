"""What the answers show: MMLU domains, role nouns, prompt designs, and the experiments of the last lesson."""
