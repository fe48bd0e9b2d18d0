"""Rewrites of real solutions by a model, each accepted only if it verifies and says nothing that its source does not
(`zipthought compress --format rewrite:NAME`).

`prompts` has what the model is asked, `run` asks it, `judge` decides, and `derivations` compares how two solutions work
out a number.
"""
