"""Files of solutions compared in one table: tokens, verdicts, and accuracy after SFT on the same budget of tokens
(`zipthought compare`)."""
