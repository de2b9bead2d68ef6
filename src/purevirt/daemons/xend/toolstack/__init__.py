"""How a change is carried out: `base` says what the supervisor may ask for, `native` does it with hypercalls and the
Xen Store alone, a module per noun. `builder` says what is asked of who makes domains, `simulated` makes those of a
simulated host."""
