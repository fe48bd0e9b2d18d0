"""``python -m zipthought``, which ``accelerate launch -m zipthought`` needs."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
