"""How a change is carried out: `base` says what the supervisor may ask for, `native` does it with hypercalls and the
Xen Store alone, a module per noun."""
