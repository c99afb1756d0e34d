/** Refusals of the predictor and the router: a status, a code for programs and a message for people. */
import { MAX_FAULTS, MAX_NAMES } from '../contracts/predict.ts';
import type { ErrorBody, ErrorCode, Fault } from '../contracts/predict.ts';

export class RequestError extends Error {
  readonly status: number;
  readonly code: ErrorCode;
  /** Values in the message, for programs. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    code: ErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'RequestError';
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

export const errorBody = (error: RequestError): ErrorBody => ({
  error: { code: error.code, message: error.message, ...error.details },
});

/** Refusal of one instance; the others may be right. */
export interface InstanceFault {
  instance: number;
  error: RequestError;
}

export function toFault({ instance, error }: InstanceFault): Fault {
  const { features, ...details } = error.details;
  return {
    ...details,
    ...(Array.isArray(features) && { features: features.slice(0, MAX_NAMES) as unknown[] }),
    instance,
    code: error.code,
    message: error.message,
  };
}

/** Returns the refusal of a request with faulty instances: that of the first one, which lists the others. */
export function refusalOf(faults: readonly InstanceFault[]): RequestError {
  const [first, ...others] = faults as [InstanceFault, ...InstanceFault[]];
  if (others.length === 0) return first.error;
  const { status, code, message, details } = first.error;
  return new RequestError(
    status,
    code,
    `${message} ${others.length} more ${others.length === 1 ? 'instance has a fault' : 'instances have faults'}.`,
    { ...details, faults: faults.slice(0, MAX_FAULTS).map(toFault) },
  );
}

/** Returns the error of an instance. @throws any other error */
export function faultOf(error: unknown): RequestError {
  if (error instanceof RequestError && error.status < 500 && 'instance' in error.details) return error;
  throw error;
}

interface FrameworkError {
  code?: string;
  statusCode?: number;
  message: string;
}

/** Translates a refusal of the HTTP framework, from before any handler ran, into this project's codes and messages. */
export function fromFramework(
  error: FrameworkError,
  contentType: string | undefined,
  bodyLimit: number,
): RequestError {
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_EMPTY_TYPE':
      return new RequestError(
        415,
        'UNSUPPORTED_MEDIA_TYPE',
        `The content type ${contentType === undefined ? '(none given)' : `"${contentType}"`} is not supported; send JSON with the header "content-type: application/json".`,
      );
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new RequestError(
        413,
        'BODY_TOO_LARGE',
        `The body is larger than the limit of ${bodyLimit} bytes; split the request.`,
        { limitBytes: bodyLimit },
      );
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new RequestError(400, 'INVALID_JSON', 'The body is empty; send {"instances":[...]}.');
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new RequestError(400, 'INVALID_JSON', `The body is not valid JSON: ${error.message}.`);
    default:
  }
  const status = error.statusCode ?? 500;
  if (status < 500)
    return new RequestError(status, 'BAD_REQUEST', `The request was refused: ${error.message}.`);
  return new RequestError(
    500,
    'INTERNAL',
    'The request failed because of an error in the server; its log has the details.',
  );
}
