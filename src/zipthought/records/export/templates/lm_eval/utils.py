"""What the task needs: the prompt with its system message, and the score."""

from zipthought.train.interfaces import process_results

__all__ = ["doc_to_text", "process_results"]


def doc_to_text(doc):
    return f"{doc['system']}\n{doc['question']}\n"
