import { expect, it } from 'vitest';
import {
  inferenceServiceSchema,
  isPredictorReady,
  whyNotReady,
} from '../../../infra/kubernetes/serving/serving-message.ts';

const service = (status: object) =>
  inferenceServiceSchema.parse({ metadata: { name: 'm-v1', uid: '1' }, status });

const pod = (container: object) => ({
  metadata: { name: 'm-v1-predictor-1', uid: '2' },
  status: {
    containerStatuses: [
      {
        name: 'kserve-container',
        image: 'p:1',
        imageID: '',
        ready: false,
        restartCount: 0,
        ...container,
      },
    ],
  },
});

const ended = (message: string) => ({
  terminated: { exitCode: 1, reason: 'Error', message },
});

it('recognizes a ready predictor', () => {
  const conditions = [{ type: 'PredictorReady', status: 'True' }];
  expect(isPredictorReady(service({ conditions }))).toBe(true);
  expect(isPredictorReady(service({}))).toBe(false);
});

it.each([
  [
    'a runtime that does not exist',
    {
      modelStatus: {
        transitionStatus: 'InvalidSpec',
        lastFailureInfo: {
          reason: 'RuntimeNotRecognized',
          message: 'Waiting for runtime to become available',
        },
      },
    },
    [],
    'KServe cannot run it (RuntimeNotRecognized): Waiting for runtime to become available',
  ],
  [
    'a predictor that ended',
    {},
    [
      pod({
        state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s' } },
        lastState: ended('warning\nThe predictor cannot start: model.onnx is damaged.\n'),
      }),
    ],
    'container kserve-container ended with exit code 1: The predictor cannot start: model.onnx is damaged',
  ],
  [
    'an image that is not there',
    {},
    [pod({ state: { waiting: { reason: 'ErrImagePull', message: 'not found' } } })],
    'the image p:1 of pod m-v1-predictor-1 is not available (ErrImagePull): not found',
  ],
  [
    'a quota',
    {
      conditions: [
        { type: 'PredictorReady', status: 'False', reason: 'FailedCreate', message: 'exceeded quota: x' },
      ],
    },
    [],
    'KServe reports FailedCreate: exceeded quota: x',
  ],
  ['a version that was just made', {}, [], 'it has no pod yet'],
  [
    'a predictor that starts again after it was ready',
    {},
    [pod({ ready: true, lastState: ended('gone') })],
    'its pods are starting',
  ],
])('reports why a version is not ready: %s', (_name, status, pods, words) => {
  expect(whyNotReady(service(status), pods, [])).toBe(words);
});
