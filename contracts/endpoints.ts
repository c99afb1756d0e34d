/** `.shelfcast/endpoints.json`: where everything is. `npx shelfcast status --json` prints it. */
export interface Endpoints {
  /** host:port of the Temporal frontend. */
  temporal: string;
  temporalUi: string;
  mlflow: string;
  /** Base URL of Ray's dashboard and Jobs API. */
  ray: string;
  /** Base URL that forecasts are asked from: the weighted router before the predictors. */
  predictor: string;
  /** postgresql:// URL without the password. */
  postgres: string;
  /** Process ids by service name; only services that this machine runs. */
  pids: Record<string, number>;
}
