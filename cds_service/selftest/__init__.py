"""The self-test: CDS Hooks requirements that can be seen from outside, tried on any service, ours or another's.

``catalogue.CHECKS`` lists every check, ``runner.examine`` tries them, ``report`` shows what came of it. Checks rest on
the requirements of the specification (``requirements.toml``), never on habits of our own service.
"""
