import { CancellationScope } from '@temporalio/workflow';

/** Runs both; when one fails the other is cancelled and waited for, so that nothing goes on behind a failed stage. */
export async function together<A, B>(first: () => Promise<A>, second: () => Promise<B>): Promise<[A, B]> {
  return await CancellationScope.cancellable(async () => {
    const scope = CancellationScope.current();
    const works = [first(), second()] as const;
    try {
      return await Promise.all(works);
    } catch (error) {
      scope.cancel();
      await Promise.allSettled(works);
      throw error;
    }
  });
}
