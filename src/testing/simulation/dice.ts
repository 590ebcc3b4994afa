import { Random } from "../../core/random.ts";

/** A seeded generator with what a simulated world asks of one. */
export class Dice extends Random {
  /** An integer from 0 up to, not including, `count`. */
  below(count: number): number {
    return Math.floor(this.nextRatio() * count);
  }

  /** Evenly between two numbers. */
  between(least: number, most: number): number {
    return least + this.nextRatio() * (most - least);
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)];
  }

  /** One of the keys, as often as its weight says. */
  weighted<Key extends string>(weights: Readonly<Record<Key, number>>): Key {
    const entries = Object.entries(weights) as [Key, number][];
    let left = this.nextRatio() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      left -= weight;
      if (left < 0) return key;
    }
    return entries[entries.length - 1][0];
  }
}
