import { expect, it } from 'vitest';
import { configWith } from './serving-examples.ts';

it('has a default for every optional key', () => {
  expect(configWith().serving).toMatchObject({
    url: 'http://models.example',
    runtime: 'shelfcast',
    autoscaling: { by: 'none', replicas: 1 },
    drainSeconds: 10,
  });
});

it.each([
  [{ parentRefs: [] }, 'serving.parentRefs: must name the Gateway'],
  [{ url: 'http://models.example/path' }, 'serving.url: must have no path'],
  [{ url: 'http://1.2.3.4', hostnames: ['models.example'] }, 'serving.url: must use one of the hostnames'],
  [{ modelStorage: 's3://bucket/prefix/' }, 'serving.modelStorage: must be a URL without a slash'],
  [{ autoscaling: { by: 'cpu' } }, 'serving.autoscaling.maxReplicas: '],
  [
    { autoscaling: { by: 'cpu', minReplicas: 4, maxReplicas: 3 } },
    'serving.autoscaling: minReplicas must not be above',
  ],
  [{ autoscaling: { by: 'load' } }, 'serving.autoscaling.by: '],
  [{ replicas: 3 }, 'serving.replicas: there is no such key'],
])('refuses %j', (wrong, words) => {
  expect(() => configWith(wrong)).toThrow(words);
});

it.each([
  ['http://models.example', ['models.example']],
  ['https://a.models.example:8443', ['other.example', '*.models.example']],
])('takes %s for %j', (url, hostnames) => {
  expect(configWith({ url, hostnames }).serving.url).toBe(url);
});
