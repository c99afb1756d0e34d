import { describe, expect, it } from 'vitest';
import { programJobState, rayJobState, trainJobState } from '../../../infra/kubernetes/jobs/job-state.ts';

const object = (status: object, spec: object = {}) => ({ spec, status });
const condition = (type: string, status = 'True') => ({ type, status, reason: 'Why', message: 'so it is.' });

describe('a Job of Kubernetes', () => {
  it.each([
    ['pending', {}, {}],
    ['pending', { active: 1, ready: 0 }, {}],
    ['running', { active: 1, ready: 1 }, {}],
    ['suspended', { conditions: [condition('Suspended')] }, { suspend: true }],
    ['succeeded', { conditions: [condition('SuccessCriteriaMet'), condition('Complete')] }, {}],
    ['failed', { conditions: [condition('FailureTarget'), condition('Failed')] }, {}],
    ['running', { ready: 1, conditions: [condition('Failed', 'False')] }, {}],
  ])('is %s: %j', (status, of, spec) => {
    expect(programJobState(object(of, spec))).toMatchObject({ status });
  });

  it('reports why it failed', () => {
    expect(programJobState(object({ conditions: [condition('Failed')] })).message).toBe('Why: so it is.');
  });

  it('is pending while it has no status', () => {
    expect(programJobState({ spec: {} }).status).toBe('pending');
  });
});

describe('a TrainJob', () => {
  const nodes = (ready: number, succeeded: number) => [
    { name: 'node', ready, succeeded, failed: 0, active: 1, suspended: 0 },
  ];
  it.each([
    ['pending', {}, {}],
    ['pending', { jobsStatus: nodes(0, 0) }, {}],
    ['running', { jobsStatus: nodes(1, 0) }, {}],
    ['running', { jobsStatus: nodes(1, 0), conditions: [condition('Suspended', 'False')] }, {}],
    ['suspended', { conditions: [condition('Suspended')] }, { suspend: true }],
    ['succeeded', { jobsStatus: nodes(0, 1), conditions: [condition('Complete')] }, {}],
    ['failed', { conditions: [condition('Failed')] }, {}],
  ])('is %s: %j', (status, of, spec) => {
    expect(trainJobState(object(of, spec))).toMatchObject({ status });
  });
});

describe('a RayJob', () => {
  it.each([
    ['pending', '', ''],
    ['pending', '', 'Initializing'],
    ['pending', 'PENDING', 'Running'],
    ['running', 'RUNNING', 'Running'],
    // Its log is whole only when the submitter has ended too.
    ['running', 'SUCCEEDED', 'Running'],
    ['succeeded', 'SUCCEEDED', 'Complete'],
    ['stopped', 'STOPPED', 'Complete'],
    ['failed', 'FAILED', 'Failed'],
    ['failed', '', 'Failed'],
    ['failed', '', 'ValidationFailed'],
    ['pending', '', 'Retrying'],
    ['pending', '', 'a state of a later version'],
  ])('is %s when Ray says "%s" and KubeRay "%s"', (status, jobStatus, jobDeploymentStatus) => {
    expect(rayJobState(object({ jobStatus, jobDeploymentStatus }))).toMatchObject({ status });
  });

  it('is suspended when KubeRay says so', () => {
    const suspended = object({ jobDeploymentStatus: 'Suspended' }, { suspend: true });
    expect(rayJobState(suspended).status).toBe('suspended');
  });

  it('reports why it failed', () => {
    const status = {
      jobDeploymentStatus: 'ValidationFailed',
      reason: 'ValidationFailed',
      message: 'no head',
    };
    expect(rayJobState(object(status)).message).toBe('ValidationFailed: no head');
    const ended =
      'Job entrypoint command failed with exit code 3, last available logs (truncated to 20,000 chars):\nfirst\nlast';
    const failed = { jobDeploymentStatus: 'Failed', reason: 'AppFailed', message: ended };
    expect(rayJobState(object(failed)).message).toBe(
      'AppFailed: Job entrypoint command failed with exit code 3',
    );
  });
});
