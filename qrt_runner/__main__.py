"""The command line: `python -m qrt_runner`; imports what is heavy once the config is judged."""

from __future__ import annotations

import gc
import logging
import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import ConfigError, QrtError
from qrt_runner.postponing import postpone_learning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.config import Document, Experiment, Transpile
    from qrt_runner.launcher import Composition
    from qrt_runner.runner import Outcome

_INTERRUPTED: Final = 130
_COLLECT_RARELY: Final = (200_000, 20, 100)
"""Garbage collection thresholds: Python's own make it take a third of the seconds that the imports take."""

_log = logging.getLogger("qrt_runner")


def main() -> int:
    """Run the command line and return its exit code."""
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # Whoever ends us, what is open is closed and what was measured is kept, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    gc.set_threshold(*_COLLECT_RARELY)
    postpone_learning()
    try:
        return _command(sys.argv[1:])
    except QrtError as error:
        if full:
            raise
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except OSError as error:
        from qrt_runner.journal.troubles import of_disk

        told = of_disk(error)
        if full or told is None:
            raise
        sys.stderr.write(f"{told}\n")
        return told.exit_code
    except KeyboardInterrupt as error:
        sys.stderr.write(f"{str(error) or 'Interrupted; nothing had been submitted.'}\n")
        return _INTERRUPTED


def _command(arguments: Sequence[str]) -> int:
    if (told := _told_at_once(arguments)) is not None:
        return told
    if sys.stderr.isatty() and "progress=off" not in arguments:
        sys.stderr.write("reading the config\n")
    arguments = _spelled_out(arguments)
    from qrt_runner.config import secrets_in_overrides
    from qrt_runner.launcher.saying import tidy

    if secrets := secrets_in_overrides(arguments):
        tidy()
        raise ConfigError(secrets)
    from qrt_runner.launcher import check_run_wide, compose_points, for_owner_only, gathered, judged

    try:
        with for_owner_only():
            composition = compose_points(arguments)
        if composition.ran:
            return gathered(composition)
        if not composition.points:
            tidy()
            return 0
        experiments = judged(composition.points, swept=composition.swept)
        check_run_wide(experiments.values())
    except QrtError:
        tidy()
        raise
    _log.info("composed %d experiment%s", len(experiments), "s" if len(experiments) != 1 else "")
    first = next(iter(experiments.values())).document
    if first.action.kind in ("run", "submit"):
        return _run(composition, experiments, first)
    tidy()
    if first.action.kind == "plan":
        return _foresee(composition, experiments)
    return _act(composition, first)


def _spelled_out(arguments: Sequence[str]) -> list[str]:
    """Return the words with `-v` and `-vv` as Hydra takes them: what is logged of each step, and of each request."""
    levels = {"-v": "INFO", "-vv": "DEBUG"}
    wanted = [levels[word] for word in arguments if word in levels][-1:]
    logs = ("job_logging", "hydra_logging")
    # At the end: Hydra takes words only where they stand together.
    spelled = [f"++hydra.{log}.loggers.qrt_runner.level={level}" for level in wanted for log in logs]
    return [*(word for word in arguments if word not in levels), *spelled]


def _told_at_once(arguments: Sequence[str]) -> int | None:
    """Show a help page, or serve a shell that completes; return None where neither is asked for."""
    helps = ("-h", "--help")
    if any(word in helps for word in arguments):
        from qrt_runner.guide import help_page

        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        sys.stdout.write(help_page([word for word in arguments if word not in helps], colour=colour))
        return 0
    if any(word in ("-sc", "--shell-completion") for word in arguments):
        from qrt_runner.shell import complete

        return complete(arguments)
    return None


def _act(composition: Composition, document: Document) -> int:
    """Carry out an action that is about the caches or earlier runs, and print what it has to say."""
    from qrt_runner.config import ShowCache

    if isinstance(document.action, ShowCache):
        return _cache(document.transpile, clear=document.action.clear)
    from qrt_runner.launcher.saying import announcer, say, show
    from qrt_runner.runner.acting import act

    acted = act(document, composition.folder, announcer(document.progress), show)
    say("".join(f"{line}\n" for line in acted.lines))
    sys.stderr.write("".join(f"{trouble}\n" for trouble in acted.troubles))
    return acted.exit_code


def _cache(section: Transpile, *, clear: bool) -> int:
    from qrt_runner.config import noise_models_folder
    from qrt_runner.transpilation.cache import Cache, cache_folder

    circuits = Cache(cache_folder(), section.cache_limit_mib)
    models = Cache(noise_models_folder(), 0, ending=".json")
    for cache, what in ((circuits, "transpiled circuits"), (models, "learned noise models")):
        most = f" of at most {cache.limit_mib} MiB" if cache.limit_mib else ""
        told = f"removed {cache.clear()} from {cache.folder}" if clear else f"{cache.folder}: {cache.amount()}{most}"
        sys.stdout.write(f"{what}: {told}\n")
    return 0


def _run(composition: Composition, experiments: Mapping[int, Experiment], first: Document) -> int:
    from qrt_runner.display import displayed
    from qrt_runner.launcher import Points, for_owner_only, request_of
    from qrt_runner.launcher.saying import show, tidy

    if composition.swept:
        with for_owner_only():
            Points(composition.folder, first.sweep.folders).write(composition.points)
    command = f"python -m qrt_runner {shlex.join(sys.argv[1:])}".strip()
    with displayed(first.progress) as display:
        # Imported while the line is got ready.
        from qrt_runner.runner import run

        request = request_of(composition, experiments, command, display.beside(tidy))
        outcome = run(request, display.announce, display.beside(show), display.watch if display.draws else None)
    _close(outcome, first)
    return outcome.exit_code or int(len(experiments) < len(composition.points))


def _foresee(composition: Composition, experiments: Mapping[int, Experiment]) -> int:
    """Print what would run and what it would cost, and keep it for whatever reads JSON."""
    from qrt_runner.launcher import for_owner_only, request_of
    from qrt_runner.launcher.saying import announcer, say
    from qrt_runner.runner.foreseeing import foresee
    from qrt_runner.runner.working import near

    announce = announcer(next(iter(experiments.values())).document.progress)
    foreseen = foresee(request_of(composition, experiments), announce)
    say(f"{foreseen}\n")
    with for_owner_only():
        say(f"all of it in {near(foreseen.keep(composition.folder))}\n")
    return foreseen.exit_code or int(len(experiments) < len(composition.points))


def _close(outcome: Outcome, document: Document) -> None:
    """Print the closing table, then where the results are and how to browse them."""
    from qrt_runner.launcher.saying import is_coloured, room, say
    from qrt_runner.runner import closing, table, under_way

    if outcome.results or not outcome.waiting:
        say(f"\n{table(outcome.results, colour=is_coloured(), columns=room())}\n\n")
    say("".join(f"{line}\n" for line in (*under_way(outcome, room()), "") if outcome.waiting))
    say("".join(f"{line}\n" for line in (*outcome.overview, "") if outcome.overview))
    say("\n".join(closing(outcome, document.tracking)) + "\n")
    sys.stderr.write("".join(f"{trouble}\n" for trouble in outcome.troubles))


def entry() -> None:
    """Run the command line and end the process, at once where it was interrupted.

    A local job computes in a thread, which Python would wait for. Aer lets nobody in while it simulates a circuit, so
    what is at once is between two of them.
    """
    code = main()
    if code == _INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    entry()
