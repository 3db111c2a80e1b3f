"""The analyse role: claims photos, decodes ahead of the models, and lets nothing wait for anything else."""

import asyncio
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import TracebackType
from typing import Self

import psycopg

from gallery.ml_worker.analysis import Analysis
from gallery.ml_worker.batches import Batches
from gallery.ml_worker.costs import CpuMeter
from gallery.ml_worker.domain import Picture, Seen, State
from gallery.ml_worker.errors import OriginalGoneError, RejectedError
from gallery.ml_worker.ports import Looker
from gallery.ml_worker.store import ANALYSE, PhotoStore
from gallery.runtime import metrics
from gallery.runtime.leases import Lane, Leased, LeaseLostError
from gallery.runtime.liveness import step
from gallery.runtime.logs import get_logger
from gallery.runtime.retry import OUT_OF_SERVICE, RetryPolicy, Verdict
from gallery.runtime.tracing import span

log = get_logger(__name__)

BATCH = 8
"""Pictures that the models see at once, all threads together."""

AHEAD = 2 * BATCH
"""Photos in hand, in whatever step: one batch in the models, one being decoded. Only somebody who waits gets beyond."""

OVERTAKING = BATCH // 2
"""Photos that somebody waits for, claimed beyond those when no such photo is in hand."""

CLAIM_FROM = BATCH // 2
"""Free places that are worth a claim."""

LEASE = timedelta(seconds=6)
"""A dead process holds its photos up for so long; a living one lengthens its leases four times in it."""

CLAIMS = 20
"""Leases after which a photo is given up untried: it must be what kills the processes that look at it."""

LOOK_AT_MOST = timedelta(minutes=2)
"""For one batch; the slowest pack on the slowest processor takes a tenth."""

SWEEP_EVERY = timedelta(minutes=5)
AFTER_ERROR = timedelta(seconds=1)
WHILE_FULL = timedelta(seconds=2)
"""Between two looks whether there is room for pictures again."""
AFTER_FULL = timedelta(seconds=5)
"""Until a photo that found no room is looked at again."""


class AnalyseRole:
    """Works until it is cancelled, then gives back what it holds."""

    def __init__(
        self,
        *,
        photos: PhotoStore,
        analysis: Analysis,
        looker: Looker,
        threads: int = 1,
        policy: RetryPolicy | None = None,
    ) -> None:
        """Keep the parts.

        Args:
            photos: The work, and what it is about.
            analysis: The steps of one photo.
            looker: The models.
            threads: Batches that the models look at side by side.
            policy: When to try again.
        """
        self._photos = photos
        self._analysis = analysis
        self._looker = looker
        self._policy = policy or RetryPolicy()
        self._held: dict[int, Leased] = {}
        self._stopping = False
        self._worth_a_claim = asyncio.Event()
        # An urgent photo overtakes as many as can be in hand.
        self._batches = Batches(size=max(1, BATCH // threads), overtakes=AHEAD + OVERTAKING)
        self._cpu = CpuMeter()
        # The networks release the interpreter lock, so that threads share one copy of the weights.
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="models")
        self._lookers = threads

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    async def run(self) -> None:
        """Work until cancelled.

        Python 3.11's asyncio.wait_for, which the connection pool waits with, can lose a cancellation that meets its
        answer, so whoever waits for more than the pool also looks whether it should go on.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_leases())
                group.create_task(self._keep_swept())
                for _ in range(self._lookers):
                    group.create_task(self._look())
                group.create_task(self._listen())
                group.create_task(self._claim(group))
                try:
                    await asyncio.Event().wait()
                finally:
                    self._stopping = True
        finally:
            await asyncio.shield(self._give_back())

    async def _claim(self, group: asyncio.TaskGroup) -> None:
        while not self._stopping:
            self._worth_a_claim.clear()
            try:
                await self._until_there_is_room()
                claimed = await self._take()
            except psycopg.OperationalError:
                log.warning("the database is away, trying again")
                await asyncio.sleep(AFTER_ERROR.total_seconds())
                continue
            for leased in claimed if not self._stopping else ():
                group.create_task(self._analyse(leased))
            if not claimed and not self._stopping:
                await self._worth_a_claim.wait()

    async def _listen(self) -> None:
        """New work is worth a claim at any time: somebody may wait for it."""
        while not self._stopping:
            await self._photos.queue.wait()
            self._worth_a_claim.set()

    async def _until_there_is_room(self) -> None:
        """Looking at photos whose pictures cannot be stored would be in vain."""
        if await self._analysis.is_full():
            log.warning("no room left for pictures, waiting for some")
        while not self._stopping and await self._analysis.is_full():  # noqa: ASYNC110  # a disk sends no event
            await asyncio.sleep(WHILE_FULL.total_seconds())

    async def _take(self) -> Sequence[Leased]:
        free = AHEAD - len(self._held)
        if free >= CLAIM_FROM:
            lanes, limit = list(Lane), min(BATCH, free)
        elif any(leased.urgent for leased in self._held.values()):
            return ()
        else:
            lanes, limit = [Lane.INTERACTIVE], OVERTAKING
        claimed = await self._photos.queue.claim(stages=[ANALYSE], lanes=lanes, limit=limit, lease=LEASE)
        if not self._held:
            self._cpu.restart()
        self._held |= {leased.id: leased for leased in claimed}
        return claimed

    async def _analyse(self, leased: Leased) -> None:
        with span("analyse photo", parent=leased.traceparent) as traced:
            traced.attributes |= {"photo_id": str(leased.job.subject), "attempt": leased.attempt}
            try:
                await self._see_through(leased)
            except Exception as error:  # noqa: BLE001  # whatever it is, the policy judges it
                await self._judge(leased, error)
            else:
                self._let_go(leased)

    async def _see_through(self, leased: Leased) -> None:
        if leased.attempt > CLAIMS:
            await self._end(leased, State.FAILED, "gave_up")
            return
        turn = self._batches.turn(urgent=leased.urgent)
        with self._batches.coming(turn):
            rendered = await self._analysis.render(leased, rank=turn.rank)
        if rendered is None:
            return
        if self._stopping:
            raise asyncio.CancelledError  # ours was lost on the way here, and nobody looks any more
        seen, cpu_seconds = await self._batches.seen(turn, rendered.rendering.picture)
        with metrics.PHOTO_STEP_TIME.labels("keep").time():
            await self._analysis.keep(rendered, seen, cpu_seconds=cpu_seconds)

    async def _look(self) -> None:
        while True:
            batch = await self._batches.next()
            metrics.BATCH_FILL.observe(len(batch))
            with step("models", at_most=LOOK_AT_MOST), metrics.BATCH_TIME.labels("all").time():
                found = await self._look_at([waiting.picture for waiting in batch])
            cpu_seconds = self._cpu.take() / len(batch)
            for waiting, result in zip(batch, found, strict=True):
                if isinstance(result, Exception):
                    waiting.seen.set_exception(result)
                else:
                    waiting.seen.set_result((result, cpu_seconds))

    async def _look_at(self, pictures: Sequence[Picture]) -> Sequence[Seen | Exception]:
        """Look at all at once; when that fails, at each alone, so that only the culprit pays."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._looker.look, pictures)
        except Exception as error:  # noqa: BLE001  # of whatever model
            if len(pictures) == 1:
                return [error]
            return [(await self._look_at([picture]))[0] for picture in pictures]

    async def _judge(self, leased: Leased, error: Exception) -> None:
        photo = {"photo_id": str(leased.job.subject), "attempt": leased.attempt}
        match error:
            case LeaseLostError():
                log.warning("the photo is another worker's by now", **photo)
                self._let_go(leased)
            case RejectedError():
                log.info("photo rejected", code=error.code, **photo)
                await self._end(leased, State.REJECTED, error.code)
            case OriginalGoneError():
                log.warning("an original is gone", code=error.code, **photo)
                await self._end(leased, State.FAILED, error.code)
            case _ if isinstance(error, OUT_OF_SERVICE):
                log.warning("pictures cannot be stored or read now, trying again", error=repr(error), **photo)
                await self._release(leased, self._photos.queue.give_back(leased, after=AFTER_FULL))
            case _ if self._policy.decide(error, attempt=leased.attempt) is Verdict.AGAIN:
                log.warning("looking at a photo failed, trying again", error=repr(error), **photo)
                pause = self._policy.pause(leased.attempt)
                await self._release(leased, self._photos.queue.retry_later(leased, after=pause))
            case _:
                log.error("looking at a photo failed, given up", exc_info=error, **photo)
                await self._end(leased, State.FAILED, "gave_up")

    async def _release(self, leased: Leased, release: Awaitable[None]) -> None:
        try:
            await release
        except psycopg.OperationalError:
            log.warning("the database is away, the lease runs out by itself")
        finally:
            self._let_go(leased)

    async def _end(self, leased: Leased, state: State, reason: str) -> None:
        try:
            await self._analysis.give_up(leased, state, reason)
        except (LeaseLostError, psycopg.OperationalError) as error:
            log.warning("could not end a photo, it comes again", error=repr(error))
        finally:
            self._let_go(leased)

    def _let_go(self, leased: Leased) -> None:
        self._held.pop(leased.id, None)
        if leased.urgent or len(self._held) == AHEAD - CLAIM_FROM:
            self._worth_a_claim.set()

    async def _keep_leases(self) -> None:
        while not self._stopping:
            await asyncio.sleep(LEASE.total_seconds() / 4)
            try:
                if self._held:
                    await self._photos.lengthen(list(self._held.values()), lease=LEASE)
            except psycopg.OperationalError:
                log.warning("could not lengthen leases")

    async def _keep_swept(self) -> None:
        while not self._stopping:
            try:
                await self._analysis.sweep()
                await self._photos.shares.forget_ended()
            except Exception:
                log.exception("sweeping failed, it is tried again")
            await asyncio.sleep(SWEEP_EVERY.total_seconds())

    async def _give_back(self) -> None:
        for leased in list(self._held.values()):
            try:
                await self._photos.queue.give_back(leased)
            except psycopg.OperationalError:
                return
