import threading

from darkroom.imaging.budget import Budget


def test_what_does_not_fit_waits_until_it_does():
    budget, entered = Budget(100), threading.Event()

    def second() -> None:
        with budget.hold(60):
            entered.set()

    with budget.hold(60):
        thread = threading.Thread(target=second)
        thread.start()
        with budget.hold(40):  # fits beside the first
            assert not entered.is_set()
    assert entered.wait(10)
    thread.join()


def test_more_than_there_is_goes_alone():
    with Budget(10).hold(1000):
        pass


def test_a_failure_gives_back():
    budget = Budget(10)
    try:
        with budget.hold(10):
            raise KeyError
    except KeyError:
        pass
    with budget.hold(10):
        pass
