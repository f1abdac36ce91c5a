"""Runs the tests of a module several at a time: most of their time is waiting, for a board's seconds are a second long."""

import concurrent.futures
import unittest


class Recorder(unittest.TestResult):
    """What became of one test, to be told later by one thread."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def addSuccess(self, test):
        self.calls.append(("addSuccess", test))

    def addError(self, test, error):
        self.calls.append(("addError", test, error))

    def addFailure(self, test, error):
        self.calls.append(("addFailure", test, error))

    def addSkip(self, test, reason):
        self.calls.append(("addSkip", test, reason))


class Together(unittest.TestSuite):
    def run(self, result, debug=False):
        def one(test):
            recorder = Recorder()
            test.run(recorder)
            return test, recorder

        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            for done in concurrent.futures.as_completed([pool.submit(one, test) for test in self]):
                test, recorder = done.result()
                result.startTest(test)
                for name, *arguments in recorder.calls:
                    getattr(result, name)(*arguments)
                result.stopTest(test)
        return result


def every(tests):
    for test in tests:
        if isinstance(test, unittest.TestCase):
            yield test
        else:
            yield from every(test)


def load_tests(loader, tests, pattern):
    return Together(every(tests))
