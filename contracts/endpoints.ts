/** `.shelfcast/endpoints.json`: addresses of all services, which `npx shelfcast status --json` prints. */
export interface Endpoints {
  /** host:port of the Temporal frontend. */
  temporal: string;
  temporalUi: string;
  mlflow: string;
  /** Base URL of Ray's dashboard and Jobs API. */
  ray: string;
  /** Base URL for forecasts: the weighted router in front of the predictors. */
  predictor: string;
  /** postgresql:// URL without the password. */
  postgres: string;
  /** Process ids by service name, for the services that this machine runs. */
  pids: Record<string, number>;
}
