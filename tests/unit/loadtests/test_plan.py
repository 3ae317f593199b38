from itertools import pairwise

import pytest

from loadtests import plan
from loadtests.corpus import Questions


@pytest.mark.parametrize("stretch", [0.1, 1.0])
def test_users_come_evenly_stay_burst_and_go(stretch: float) -> None:
    lasts = sum(stage.seconds for stage in plan.STAGES) * stretch
    users = [plan.users_at(lasts * part / 1000, 100, stretch) for part in range(1000)]
    numbers = [number for number in users if number is not None]
    assert len(numbers) == len(users)
    assert numbers[0] == 1
    assert max(numbers) == 150
    assert numbers.count(100) > 400
    assert max(abs(one - other) for one, other in pairwise(numbers)) <= 5
    assert plan.users_at(lasts, 100, stretch) is None


def test_most_questions_are_new_and_fit_the_service() -> None:
    questions = Questions()
    asked = [questions.rag() for _ in range(500)]
    assert len(set(asked)) > 400
    assert all(0 < len(question) <= 4096 for question in [*asked, *(questions.faq() for _ in range(100))])
