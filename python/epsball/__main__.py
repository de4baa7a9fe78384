"""``python -m epsball``."""

from ._command import main

main()
