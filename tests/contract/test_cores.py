from darkroom.contract.cores import available


def test_the_launcher_has_the_last_word():
    assert available({"OMP_NUM_THREADS": "3"}) == 3
    assert available({}) == available({"OMP_NUM_THREADS": ""}) >= 1
