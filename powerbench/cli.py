"""The command line: finds the command and turns errors into exit statuses.

Without a subcommand it is the search, training and evaluation of one experiment, with the flags that
users of powerful-benchmarker know. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from powerbench.console import complain, open_closed_streams, say
from powerbench.ending import end_process
from powerbench.errors import PowerbenchError, UserError, file_system_error, nearest
from powerbench.starting import start_lightly

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
STOPPED = "powerbench: stopped; nothing finished is lost, the same command continues."
COMMANDS = {
    "suite": "run several methods under one protocol and print one table",
    "report": "print an experiment's results and write its tables and figures",
    "compare": "compare experiments pair by pair, if their protocols agree",
    "status": "what runs, how far it is, what is left, what failed",
    "rerun": "train failed fold runs once more",
    "delete": "delete an experiment with all its rows and files",
    "validate": "print the merged config, the plan and its cost; train nothing",
    "progression": "make train/test splits of growing distribution shift for any dataset, or show some",
    "list": "list experiments, or the names a config may use",
}

HELP = """\
powerbench: fair, resumable, cross-validated comparison of deep-metric-learning methods

usage:
  python run.py --experiment_name NAME [flags] [config keys]     train, search, reproduce, evaluate
  python run.py COMMAND ...                                      one of the commands below

commands (each explains itself with --help):
{commands}

an experiment:
  --experiment_name NAME            its name and its folder; the same command again continues it
  --bayes_opt_iters N               search for N trials over the parameters marked ~BAYESIAN~ and the like
  --reproductions R | A,B           retrain the chosen setting R times with new seeds (numbers A to B-1)
  --reproduce_results FOLDER        train the chosen setting of an earlier experiment again, as experiment NAME, and
                                    say whether the results agree (see also --reproductions: default as many as it had);
                                    FOLDER may also be one of powerful-benchmarker 0.9.x
  --same_seed                       reproduce with the seeds of the earlier experiment: the same numbers
  --resume_training latest|best     continue, if there is something to continue: as without this flag (the epochs
                                    after the best one are repeated with equal numbers, so both words do the same)
  --evaluate                        evaluate the trained models one by one (mean over folds)
  --evaluate_ensemble               evaluate the folds' concatenated embeddings
  --splits_to_eval [test]           which splits
  --merge_argparse_when_resuming    let the config of a resumed or reproduced experiment change

how it runs (changes nothing but time):
  --workers W                       W fold runs at a time, each in its own process
  --devices 0,1,...                 pin the workers to these GPUs

configs (see the README for the language):
  --config_<category> [a, b]        YAML files to merge, by name or path; categories: dataset, eval, general,
                                    loss_and_miners, models, optimizers, transforms
  --<key>[~OPERATOR~[N]] VALUE      any config key, in YAML: --patience null, --loss_funcs~OVERRIDE~ {{...}}
                                    operators: OVERRIDE APPLY SWAP WRAP DELETE; to search: BAYESIAN LOG_BAYESIAN
                                    INT_BAYESIAN CHOICE_BAYESIAN GRID
  --root_config_folder DIR          use these YAML files instead of the shipped ones

where things are (or set POWERBENCH_<NAME>, or ~/.config/powerbench.yaml):
  --root_experiment_folder DIR      experiments and their results.sqlite    (default: experiments)
  --dataset_root DIR                parent of the dataset folders           (default: datasets)
  --pytorch_home DIR                pretrained weights, as torch keeps them
  --cache_dir DIR                   decoded images and features             (default: <experiments>/.cache)
  --results_db URL                  another results store

exit status: 0 done, 1 the work failed, 2 the request was wrong, 3 stopped before the end, run again
"""


def program() -> NoReturn:
    """Run the command of this process and end it; a signal while Python tidies up changes its status no more."""
    start_lightly()
    open_closed_streams()
    status = main()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    end_process(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    with _leaving_on_signals():
        try:
            return _dispatch(words)
        except PowerbenchError as error:
            complain(f"powerbench: {error}")
            return error.exit_status
        except KeyboardInterrupt:
            complain(STOPPED)
            return 3
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python fails once more when it ends
            complain("powerbench: nobody reads the output any more; the same command continues.")
            return 3
        except OSError as error:
            failure = file_system_error(error)
            complain(f"powerbench: {failure}")
            return failure.exit_status


@contextmanager
def _leaving_on_signals() -> Iterator[None]:
    """End at once with exit status 3 on SIGINT, SIGTERM and SIGUSR1, where nothing stops more gently.

    Not by an exception, which would be lost or turned into another one in the midst of an import. Nothing has to be
    tidied up, as nothing has after a kill.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(2, f"{STOPPED}\n".encode())
        os._exit(3)

    before = {number: signal.signal(number, leave) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        commands = "\n".join(f"  {name:<12}{text}" for name, text in COMMANDS.items())
        say(HELP.format(commands=commands))
        return 0
    name = "experiment" if words[0].startswith("--") else words.pop(0)
    if name != "experiment" and name not in COMMANDS:
        raise UserError(f"there is no command {name}.", near=nearest(name, COMMANDS) or tuple(COMMANDS))
    command = importlib.import_module(f"powerbench.commands.{name}")
    if "--help" in words:
        say(command.HELP if name != "experiment" else HELP.format(commands=""))
        return 0
    status: int = command.run(words)
    return status
