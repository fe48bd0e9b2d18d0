"""Generation: files of records, by the exact path or by a fast one where that is declared."""
