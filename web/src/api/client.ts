/** The documented API, and nothing else: typed by its document, errors as the problem documents that it sends. */
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Problem = Schemas["ProblemView"];

/** What the API refused, in its own words. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly requestId: string | null,
    readonly problem: Problem | null,
  ) {
    super(detail);
    this.name = "ApiError";
  }
}

/** Nobody answered: the connection, not the request, is at fault. */
export class ConnectionError extends Error {
  constructor() {
    super("The API does not answer. What you see is the last that it said.");
    this.name = "ConnectionError";
  }
}

type TokenSource = () => Promise<string | null>;
let token: TokenSource = async () => null;

/** From now on requests carry what `source` gives, as a bearer token. */
export function setTokenSource(source: TokenSource): void {
  token = source;
}

const authorization: Middleware = {
  async onRequest({ request }) {
    const bearer = await token();
    if (bearer) request.headers.set("Authorization", `Bearer ${bearer}`);
    return request;
  },
};

export const api = createClient<paths>({ baseUrl: "/" });
api.use(authorization);

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** The answer's document; throws ApiError for a problem and ConnectionError where nobody answers. */
export async function unwrap<T>(request: Promise<Answer<T>>): Promise<T> {
  return (await unwrapResponse(request)).data;
}

/** The same, with the response: for its ETag. */
export async function unwrapResponse<T>(request: Promise<Answer<T>>): Promise<{ data: T; response: Response }> {
  let answer: Answer<T>;
  try {
    answer = await request;
  } catch (error) {
    if (error instanceof TypeError) throw new ConnectionError();
    throw error;
  }
  const { data, error, response } = answer;
  if (response.ok && data !== undefined) return { data, response };
  const problem = isProblem(error) ? error : null;
  throw new ApiError(
    response.status,
    problem?.code ?? "unexpected",
    problem?.detail ?? `The API answered ${response.status} without saying why.`,
    response.headers.get("X-Request-Id"),
    problem,
  );
}

function isProblem(error: unknown): error is Problem {
  return typeof error === "object" && error !== null && "detail" in error && "code" in error;
}
