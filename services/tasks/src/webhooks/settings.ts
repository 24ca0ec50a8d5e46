import { parsed } from '@berth/service'

// The first try is at once; of the others as Standard Webhooks proposes.
const usualWaits = [0, 5, 300, 1_800, 7_200, 18_000, 36_000]
const mostTries = 20
const mostSeconds = 86_400

/** How often what a webhook tells is tried; the standalone stack reads this too. */
export const webhookSettings = {
  webhookTries: parsed(
    'BERTH_WEBHOOK_TRIES',
    `up to ${mostTries} waits in seconds, one before each try, as ${usualWaits.join(',')}`,
    readWaits,
    { fallback: usualWaits },
  ),
}

function readWaits(text: string): number[] | undefined {
  const waits = text.split(',').map((one) => one.trim())
  const isGood = waits.length <= mostTries && waits.every((one) => /^\d{1,5}$/.test(one) && Number(one) <= mostSeconds)
  return isGood ? waits.map(Number) : undefined
}
