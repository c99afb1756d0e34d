import { expect, it } from 'vitest';
import { kubernetesName } from '../../../infra/kubernetes/names.ts';

it('keeps a name that Kubernetes takes', () => {
  expect(kubernetesName('pipeline-sales-forecast-0199a1b2-train-1', 45)).toBe(
    'pipeline-sales-forecast-0199a1b2-train-1',
  );
});

it.each([
  ['too long', 'pipeline-a-very-long-name-of-a-model-0199a1b2-features-1'],
  ['letters and signs of its own', 'My_Job.7'],
  ['a digit first', '2026-forecast'],
  ['a dash last', 'forecast-'],
  ['nothing that could be kept', 'ÄÖÜ'],
])('makes a label of at most the length from a name with %s', (_, name) => {
  const made = kubernetesName(name, 45);
  expect(made).toMatch(/^[a-z][-a-z0-9]*-[0-9a-f]{8}$/);
  expect(made.length).toBeLessThanOrEqual(45);
});

it('keeps names with the same beginning distinct, and is deterministic', () => {
  const long = 'pipeline-a-very-long-name-of-a-model-0199a1b2-features';
  expect(kubernetesName(`${long}-1`, 45)).not.toBe(kubernetesName(`${long}-2`, 45));
  expect(kubernetesName(`${long}-1`, 45)).toBe(kubernetesName(`${long}-1`, 45));
});
