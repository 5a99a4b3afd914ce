"""When the jobs of a run can run: how long it takes on so many GPUs, and what is there at the same time."""

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping

from cotrain.procedure.jobs import Job


class Timeline:
    """Jobs and what each waits for. The list has every job after those that it reads from."""

    def __init__(self, jobs: list[Job], seconds: Callable[[Job, int], float], gpus: Callable[[Job, int], int]):
        """`seconds` and `gpus` say how long a job takes where there are so many GPUs, and how many of them it takes."""
        self.jobs, self.seconds, self.gpus = jobs, seconds, gpus
        makers = {path: job for job in jobs for path in job.outputs}
        self.waits_for: dict[Job, set[Job]] = {}
        self.followers: dict[Job, list[Job]] = defaultdict(list)
        for job in jobs:
            self.waits_for[job] = {makers[path] for path in job.reads if path in makers}
            for maker in self.waits_for[job]:
                self.followers[maker].append(job)

    def longest_chain(self, gpus: int) -> tuple[float, list[Job]]:
        """Seconds and jobs of the chain that more GPUs do not shorten."""
        ends: dict[Job, tuple[float, list[Job]]] = {}
        for job in self.jobs:
            seconds, chain = max((ends[maker] for maker in self.waits_for[job]), default=(0.0, []), key=_seconds)
            ends[job] = (seconds + self.seconds(job, gpus), [*chain, job])
        return max(ends.values(), key=_seconds)

    def wall(self, gpus: int, cores: int) -> float:
        """Seconds that a run takes if ready jobs start as soon as they can, those with the longest way to go first.

        Jobs with a network take GPUs, the others a core each.
        """
        to_go = self._seconds_to_go(gpus)
        waits_for = {job: set(makers) for job, makers in self.waits_for.items()}
        free = {"gpus": gpus, "cores": cores}
        running: list[tuple[float, int, Job]] = []
        ready = [job for job in self.jobs if not waits_for[job]]
        started = itertools.count()  # jobs cannot be compared, so no two entries of the heap may be alike
        now = 0.0
        while ready or running:
            for job in sorted(ready, key=to_go.__getitem__, reverse=True):
                resource, amount = self._needs(job, gpus)
                if free[resource] >= amount:
                    free[resource] -= amount
                    ready.remove(job)
                    heapq.heappush(running, (now + self.seconds(job, gpus), next(started), job))
            now, _, ended = heapq.heappop(running)
            resource, amount = self._needs(ended, gpus)
            free[resource] += amount
            for job in self.followers[ended]:
                waits_for[job].discard(ended)
                if not waits_for[job]:
                    ready.append(job)
        return now

    def _needs(self, job: Job, gpus: int) -> tuple[str, int]:
        if job.runs_network:
            return "gpus", self.gpus(job, gpus)
        return "cores", 1

    def _seconds_to_go(self, gpus: int) -> dict[Job, float]:
        """Seconds from the start of each job to the end of the run, at least."""
        to_go: dict[Job, float] = {}
        for job in reversed(self.jobs):
            after = max((to_go[follower] for follower in self.followers[job]), default=0.0)
            to_go[job] = self.seconds(job, gpus) + after
        return to_go

    def most_at_a_time(self, sizes: Mapping[Job, int]) -> int:
        """Largest total size of files that exist at the same time, if each is removed once all have read it."""
        ended: dict[Job, set[Job]] = {}  # each job and all that must have ended before it
        for job in self.jobs:
            ended[job] = {job}.union(*(ended[maker] for maker in self.waits_for[job]))

        def can_coexist(first: Job, second: Job) -> bool:
            first_is_gone = ended[second].issuperset(self.followers[first])
            second_is_gone = ended[first].issuperset(self.followers[second])
            return not (first_is_gone or second_is_gone)

        def most(jobs: list[Job]) -> int:
            totals = [0]
            for position, job in enumerate(jobs, start=1):
                coexisting = [later for later in jobs[position:] if can_coexist(job, later)]
                totals.append(sizes[job] + most(coexisting))
            return max(totals)

        return most(list(sizes))


def _seconds(chain: tuple[float, list[Job]]) -> float:
    return chain[0]
