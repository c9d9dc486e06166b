import os
import signal
import threading

import pytest

from dextr_vos.interrupt import interruptible, never


def handlers():
    return signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_only_noted(kind):
    before = handlers()
    with interruptible() as stop_asked:
        assert not stop_asked()
        os.kill(os.getpid(), kind)
        assert stop_asked()
        assert stop_asked()  # the answer stays
    assert handlers() == before


@pytest.fixture
def heard():
    """Ctrl-C is Python's own; a shell hides it from what it runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_second_ctrl_c_stops_at_once():
    before = handlers()
    with interruptible() as stop_asked:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop_asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert handlers() == before


def test_handlers_come_back_after_a_errors():
    before = handlers()

    def fail():
        with interruptible():
            assert handlers() != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert handlers() == before


def test_another_thread_is_never_stopped():
    before = handlers()
    answers = []

    def work():
        with interruptible() as stop_asked:
            answers.append((stop_asked, stop_asked(), handlers()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [(never, False, before)]
    assert never() is False
