/** The workflows that the worker runs. */
export { modelLock } from './model-lock.ts';
export { forecastPipeline } from './pipeline.ts';
export { updateForecasts } from './update.ts';
