"""The life of a bot as a table. Together its cases go through every change of phase that there is."""

from tests.integration.life_cycle import cases_of_kubernetes, cases_of_trainers, cases_of_users

# The trainers' last case waits until the operator, which one of the first cases kills, has listened for a minute.
CASES = {**cases_of_kubernetes.CASES, **cases_of_users.CASES, **cases_of_trainers.CASES}
