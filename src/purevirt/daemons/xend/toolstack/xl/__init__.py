"""Domains made, saved and moved by `xl`, as a process that is looked after: a `Builder` for real hosts.

`builder` is the class, `making` creates and restores, `leaving` saves, dumps and migrates, `tool` is `xl` itself. Below
them: `process` runs and ends programs, `output` is what they say, `runs` what is noted meanwhile, `progress` and
`failures` what `xl`'s words mean, `savefile` its files, `checks` and `room` what is looked at beforehand. All of it can
be imported where there is no Xen.
"""

from purevirt.daemons.xend.toolstack.xl.builder import XlBuilder

__all__ = ["XlBuilder"]
