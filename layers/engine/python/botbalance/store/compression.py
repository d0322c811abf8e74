"""Documents in few bytes: DynamoDB bills each started kilobyte that is written, and what is stored.

zlib, told beforehand which words are in nearly every document: a state or a decision of ten assets shrinks by a third
more with that. What is compressed names the dictionary that it needs, so one that documents were written with is kept.
"""

import zlib

from botbalance.errors import TransientError

_WORDS = (
    b'"smallest_order_size_pct":null,"min_delta_pct":"1","from_nav":"5000","oscillation","assets":[],"message":"an "'
    b"order of worth more than the band: a filled order can overshoot the target and be traded back; min_delta_pct of "
    b'or more ends it at any NAV"}]},"placed":[{"schema_version":1,"user_id":"","client_order_id":"",'
    b'"exchange":"binance",'
    b'"symbol":"",'
    b'"side":"buy","side":"sell","limit_price":"","quantity":"","status":"open","source":"autopilot","ts_tick":17,'
    b'"placed_at":17,"fills":[],"revision":0,"fencing_token":1}],"canceled":{"reprice","too_old"},'
    b'{"schema_version":1,"at":17,"exchange":"binance","quote_asset":"USDT","nav":"1","bonus":"0'
    b'"incidents":{"since":17,"evidence":""},"skipped_in_a_row":1,"history_hour":17,'
    b'"budgets":{"tallies":{"binance":{"BTCUSDT":{"4900":{"bought":"0.","sold":"0.","paid":"1","received":"1",'
    b'"buy_fees":"0.","sell_fees":"0.","buys":1,"sells":1,"placed":1},"pauses":{},"warned":{},"resumed":{},'
    b'"anomalies":{"since":17,"evidence":""},"accepted":[],'
    b'"refused_pairs":{"times":1,"retry_at":17,"reason":""},"fill_totals":{"binance":{"BTC":{"fills":1,"net":{"unconfirmed_prices":{},'
    b'"committed":{"USDT":"0.","receivable":{"price_from":"0.","price_to":"0.","resting_buy":"0.","resting_sell":"0.",'
    b'"until":17,"min_delta_pct":"0.5","reason":null,"reason_code":null,"quiet_since":17,"quiet_ticks":"evaluation":{'
    b'"nav":"10000.","quote_amount":"100.","band_quote":"50","band_pct":"0.4999999","drift_pct":"0.","rows":['
    b'"active_symbols":[],"paused_symbols":[],"open_orders":[],"now":17},"target_allocations":{"strategy_config":{'
    b'"quote_asset":"USDT","order_size_pct":"1","order_step_pct":"0.4","min_delta_quote":"50","min_delta_pct":null,'
    b'"quote_reserve_pct":"0","order_max_age_s":900,"reprice_tolerance_pct":null,"post_only":true},"market_rules":{'
    b'{"symbol":"BTCUSDT","base":"BTC","quote":"USDT","tick_size":"0.01000000","lot_size":"0.00001000","min_qty":"0.00001000",'
    b'"max_qty":"9000.00000000","min_price":"0.01000000","max_price":"1000000.00000000","min_notional":"5.00000000",'
    b'"trading":true,"max_notional":"9000000.00000000","bid_multiplier_down":"0.2","bid_multiplier_up":"5",'
    b'"ask_multiplier_down":"0.2","ask_multiplier_up":"5","quote_fee_pct":"0","closed_side":null},"ETHUSDT":{'
    b'{"asset":"BTC","symbol":"BTCUSDT","free":"0.","locked":"0","held":"0.","price":"0.00","value":"900.0000",'
    b'"weight_pct":"9.000000","target_pct":"9","delta_quote":"-0.0000","delta_quote":"0.0000","side":null,"limit_price":null,'
    b'"action":null,"hold":"within_band","smallest_order_size_pct":null,"buy_trigger":"0.","sell_trigger":"0."},'
    b'"hold":"quote_asset","buy_trigger":null,"sell_trigger":null}],"actions":[],"unmanaged":{},"warnings":[{"code":"'
    b'{"schema_version":1,"ts_tick":17,"decided_at":17,"outcome":"decided","outcome":"skipped","engine_version":"3","inputs":{'
    b'"current_balances":{"USDT":{"free":"1000.00000000","locked":"0"},"market_prices":{"no_unreconciled_orders":true,'
    b'"last_look":{"at":17,"exchange":"binance","quote_asset":"USDT","nav":"","balances":{"BTC":{"free":"0.00000000"},'
    b'"no_trade_note":{"engine_version":"3","strategy_version":1,"exchange":"binance","looked_at":17,"look_again_at":17,'
    b'"bounds":{"quote_held":"1000.00000000","assets":[{"symbol":"BTCUSDT","held":"0.00","target_pct":"10",'
    b'"delta_over":"-50","delta_under":"50"},{"last_observation":{"seen_at":17,"prices":{"BTCUSDT":"0.00000000",'
    b'"ETHUSDT":"0.00000000","BNBUSDT":"SOLUSDT":"XRPUSDT":"ADAUSDT":"DOGEUSDT":"LINKUSDT":"LTCUSDT":"DOTUSDT":'
    b'"held":{"BTC":"0.00000000","ETH":"0.00000000","USDT":"1000.00000000"}},"schema_version":1}'
)
"""What is likelier in a short document is nearer to the end. Never to be changed: another one is added beside it."""
_LEVEL = 4
"""It saves nearly what the slowest one does, in half of its time."""


def compress(document: bytes) -> bytes:
    """``document``, smaller."""
    compressor = zlib.compressobj(_LEVEL, zdict=_WORDS)
    return compressor.compress(document) + compressor.flush()


def decompress(compressed: bytes) -> bytes:
    """What :func:`compress` was given; raises TransientError for what another version has compressed otherwise."""
    try:
        return zlib.decompressobj(zdict=_WORDS).decompress(compressed)
    except zlib.error as error:
        message = f"a stored document is not of a known form ({error}): it was written by another version"
        raise TransientError("unknown_schema", message) from None
