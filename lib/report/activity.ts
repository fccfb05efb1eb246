/**
 * Figures of orders and their fills, and of training runs. Pure functions over plain data.
 *
 * @module
 */
import { mean, quantile, sum } from "./statistics.ts";

/** One row of `orders`. */
export interface OrderRow {
  readonly status: string;
  readonly side: string;
  /** Epoch seconds. */
  readonly submittedAt: number;
  /** Epoch seconds. */
  readonly filledAt: number | null;
  readonly filledQuantity: number | null;
  readonly filledPrice: number | null;
  readonly expectedPrice: number | null;
  readonly slippage: number | null;
  readonly commission: number | null;
  readonly rejectReason: string | null;
}

/** A value and how often it occurs. */
export interface Count {
  /** The value. */
  readonly key: string;
  /** How often it occurs. */
  readonly count: number;
}

/** Figures of orders and fills. Amounts are in the account's currency. */
export interface OrderFigures {
  /** Number of orders. */
  readonly orders: number;
  /** Number with the status `filled`. */
  readonly filled: number;
  /** Number of other orders with a filled quantity. */
  readonly partiallyFilled: number;
  /** Number with the status `rejected`. */
  readonly rejected: number;
  /** Orders by status, most frequent first. */
  readonly byStatus: readonly Count[];
  /** Rejected orders by reason, most frequent first. */
  readonly rejections: readonly Count[];
  /** Seconds from submission to the fill of filled orders; null without one. */
  readonly medianSecondsToFill: number | null;
  /** As above; 95 % of the filled orders took at most this long. */
  readonly p95SecondsToFill: number | null;
  /** Sum of the column `slippage`, as the bot recorded it. */
  readonly recordedSlippage: number;
  /**
   * What fills cost against the expected price: the price difference times the filled quantity, positive
   * if the account paid more or received less; null if no order has both prices.
   */
  readonly slippageCost: number | null;
  /** Sum of the orders' commission; if they record none, of their fills. */
  readonly commission: number;
  /** Number of fills. */
  readonly fills: number;
}

/** Sums over the fills of the orders. */
export interface FillSums {
  readonly fills: number;
  readonly commission: number;
}

/** Computes the figures of orders. */
export function orderFigures(orders: readonly OrderRow[], fills: FillSums): OrderFigures {
  const seconds = orders.flatMap(({ status, submittedAt, filledAt }) =>
    status === "filled" && filledAt !== null && filledAt >= submittedAt
      ? [filledAt - submittedAt]
      : []
  );
  const costs = orders.flatMap(({ side, filledPrice, expectedPrice, filledQuantity }) =>
    filledPrice === null || expectedPrice === null || !filledQuantity
      ? []
      : [(filledPrice - expectedPrice) * filledQuantity * (side === "sell" ? -1 : 1)]
  );
  const commission = sum(orders.map((order) => order.commission ?? 0));
  const byStatus = counted(orders.map(({ status }) => status));
  const countOf = (status: string): number =>
    byStatus.find(({ key }) => key === status)?.count ?? 0;
  return {
    orders: orders.length,
    filled: countOf("filled"),
    partiallyFilled:
      orders.filter(({ status, filledQuantity }) =>
        status !== "filled" && (filledQuantity ?? 0) > 0
      ).length,
    rejected: countOf("rejected"),
    byStatus,
    rejections: counted(
      orders.filter(({ status }) => status === "rejected").map(({ rejectReason }) =>
        rejectReason ?? "(no reason)"
      ),
    ),
    medianSecondsToFill: quantile(seconds, 0.5),
    p95SecondsToFill: quantile(seconds, 0.95),
    recordedSlippage: sum(orders.map((order) => order.slippage ?? 0)),
    slippageCost: costs.length === 0 ? null : sum(costs),
    commission: commission === 0 ? fills.commission : commission,
    fills: fills.fills,
  };
}

function counted(values: readonly string[]): Count[] {
  return [...Map.groupBy(values, (value) => value)]
    .map(([key, members]) => ({ key, count: members.length }))
    .sort((a, b) => b.count - a.count || (a.key < b.key ? -1 : 1));
}

/** One evaluation of a training run. */
export interface EvaluationRow {
  /** Id of the training run. */
  readonly runId: string;
  /** Kind of the data evaluated on, such as `validation`. */
  readonly type: string;
  /** `YYYY-MM-DD`. */
  readonly date: string;
  /** Sharpe ratio as recorded. */
  readonly sharpe: number | null;
  /** Total return, in percent. */
  readonly returnPct: number | null;
  /** Maximum drawdown, in percent. */
  readonly maxDrawdownPct: number | null;
  /** As a fraction. */
  readonly winRate: number | null;
}

/** One training run, with its episodes in order. */
export interface RunRow {
  /** Id of the training run. */
  readonly runId: string;
  /** Algorithm, such as `PPO`. */
  readonly algorithm: string;
  /** Name of the model. */
  readonly model: string;
  /** Status of the run. */
  readonly status: string;
  /** Epoch seconds. */
  readonly startedAt: number;
  /** Learning rate from the hyperparameters. */
  readonly learningRate: number | null;
  /** Rewards by episode. */
  readonly episodes: EpisodeSeries;
}

/** Rewards by episode, thinned to some hundred points if there are more. */
export interface EpisodeSeries {
  /** Number of episodes of the run. */
  readonly count: number;
  /** Reward of the last episode; null without one. */
  readonly lastReward: number | null;
  /** Points in the order of their episodes. */
  readonly points: readonly EpisodePoint[];
}

/** One episode, or the mean of some that follow each other. */
export interface EpisodePoint {
  /** Number of the episode; of several, of the last. */
  readonly episode: number;
  /** Its reward; of several, their mean. */
  readonly reward: number;
  /** Exponential average of the rewards up to this episode, over a span of 20 episodes. */
  readonly average: number;
}

/** One agent's share of the vote in the newest weights of an ensemble. */
export interface WeightRow {
  /** Id of the ensemble. */
  readonly ensemble: string;
  /** Id of the training run. */
  readonly runId: string;
  /** A share: 0.5 is half of the vote. */
  readonly weight: number;
}

/** A place on the leaderboard: an evaluation with its run. */
export interface LeaderboardEntry extends EvaluationRow {
  /** Algorithm, such as `PPO`. */
  readonly algorithm: string;
  /** Name of the model. */
  readonly model: string;
  /** Learning rate from the hyperparameters. */
  readonly learningRate: number | null;
}

/** Figures of the training. */
export interface TrainingFigures {
  /** Training runs, oldest first. */
  readonly runs: readonly RunRow[];
  /** Validations, best Sharpe ratio first; those without one come last. */
  readonly leaderboard: readonly LeaderboardEntry[];
  /** Newest weights of each ensemble, largest first. */
  readonly weights: readonly (WeightRow & { readonly algorithm: string; readonly model: string })[];
  /** By algorithm: number of runs, and the mean Sharpe ratio of their validations. */
  readonly algorithms: readonly {
    readonly algorithm: string;
    readonly runs: number;
    readonly meanSharpe: number | null;
  }[];
}

/**
 * Collects rewards in the order of their episodes. The exponential average is
 * `a_t = a_(t-1) + 2 / (span + 1) * (r_t - a_(t-1))` with a span of 20, starting at the first reward. More
 * than `most` points (default 300) are thinned: each is then the mean reward of equally many episodes,
 * with the average at the last of them.
 */
export function episodeSeries(
  rewards: Iterable<{ readonly episode: number; readonly reward: number }>,
  most = 300,
): EpisodeSeries {
  const all: EpisodePoint[] = [];
  for (const { episode, reward } of rewards) {
    const previous = all.at(-1)?.average ?? reward;
    all.push({ episode, reward, average: previous + 2 / 21 * (reward - previous) });
  }
  const step = Math.ceil(all.length / most);
  const points = step <= 1
    ? all
    : Array.from({ length: Math.ceil(all.length / step) }, (_, at): EpisodePoint => {
      const part = all.slice(at * step, (at + 1) * step);
      const last = part.at(-1);
      return {
        episode: last?.episode ?? 0,
        reward: mean(part.map(({ reward }) => reward)) ?? 0,
        average: last?.average ?? 0,
      };
    });
  return { count: all.length, lastReward: all.at(-1)?.reward ?? null, points };
}

/** Rows of the training tables. */
export interface TrainingRows {
  readonly runs: readonly RunRow[];
  readonly evaluations: readonly EvaluationRow[];
  readonly weights: readonly WeightRow[];
}

/** Computes the figures of training runs. */
export function trainingFigures({ runs, evaluations, weights }: TrainingRows): TrainingFigures {
  const byId = new Map(runs.map((run) => [run.runId, run]));
  const leaderboard = evaluations.flatMap((one): LeaderboardEntry[] => {
    const run = byId.get(one.runId);
    if (run === undefined || one.type !== "validation") return [];
    const { algorithm, model, learningRate } = run;
    return [{ ...one, algorithm, model, learningRate }];
  }).sort((a, b) => (b.sharpe ?? -Infinity) - (a.sharpe ?? -Infinity) || 0);
  const algorithms = [...Map.groupBy(runs, ({ algorithm }) => algorithm)].map(
    ([algorithm, members]) => ({
      algorithm,
      runs: members.length,
      meanSharpe: mean(
        leaderboard.flatMap((one) => one.algorithm === algorithm ? one.sharpe ?? [] : []),
      ),
    }),
  ).sort((a, b) => (b.meanSharpe ?? -Infinity) - (a.meanSharpe ?? -Infinity) || 0);
  return {
    runs,
    leaderboard,
    weights: weights.flatMap((one) => {
      const run = byId.get(one.runId);
      return run === undefined ? [] : [{ ...one, algorithm: run.algorithm, model: run.model }];
    }),
    algorithms,
  };
}
