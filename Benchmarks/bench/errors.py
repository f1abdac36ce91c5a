"""What can go wrong, told apart by who has to act."""


class CannotRun(Exception):
    """The whole run is impossible; the message says what is missing and what to do."""


class ContenderFailed(Exception):
    """One contender did not do its work in this round; the others go on."""


class Skipped(Exception):
    """A contender is not there on this machine; the message says why."""
