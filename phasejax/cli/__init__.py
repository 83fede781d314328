"""The command `phasejax`: every subcommand is a dataclass whose fields are its flags.

The question: how does someone who works in a shell, on a cluster or in another language use the
package? A subcommand reads files, calls one public function, writes files and prints a summary.
Modules in the order to read them: `_main` chooses the subcommand and turns errors into exit codes;
`_diagnose`, `_monitor`, `_similarity`, `_sweep` and `_check` are the subcommands; `_files` reads
and writes for them; `_compiled_programs` keeps compiled programs from one call to the next.
Nothing that takes time to import is imported before a subcommand runs.
"""

from phasejax.cli._main import main as main
