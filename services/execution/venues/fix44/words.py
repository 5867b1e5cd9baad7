"""The tags and codes of FIX 4.4 that orders and allocations need, by the names of the specification.

Source: FIX specification 4.4 with errata 20030618, volumes 4 to 6 and the field definitions of volume 6.
"""

from collections.abc import Mapping
from typing import Final

from services.execution.domain.order import OrderState
from services.execution.domain.words import OrderType, Side, TimeInForce

ACCOUNT: Final = 1
AVG_PX: Final = 6
CL_ORD_ID: Final = 11
COMMISSION: Final = 12
COMM_TYPE: Final = 13
CUM_QTY: Final = 14
CURRENCY: Final = 15
EXEC_ID: Final = 17
EXEC_REF_ID: Final = 19
HANDL_INST: Final = 21
LAST_PX: Final = 31
LAST_QTY: Final = 32
MSG_SEQ_NUM: Final = 34
ORDER_ID: Final = 37
ORDER_QTY: Final = 38
ORD_STATUS: Final = 39
ORD_TYPE: Final = 40
ORIG_CL_ORD_ID: Final = 41
PRICE: Final = 44
REF_SEQ_NUM: Final = 45
SENDING_TIME: Final = 52
QUANTITY: Final = 53
SIDE: Final = 54
SYMBOL: Final = 55
TEXT: Final = 58
TIME_IN_FORCE: Final = 59
TRANSACT_TIME: Final = 60
SETTL_DATE: Final = 64
LIST_ID: Final = 66
LIST_SEQ_NO: Final = 67
TOT_NO_ORDERS: Final = 68
ALLOC_ID: Final = 70
ALLOC_TRANS_TYPE: Final = 71
REF_ALLOC_ID: Final = 72
NO_ORDERS: Final = 73
TRADE_DATE: Final = 75
NO_ALLOCS: Final = 78
ALLOC_ACCOUNT: Final = 79
ALLOC_QTY: Final = 80
NO_RPTS: Final = 82
RPT_SEQ: Final = 83
CXL_QTY: Final = 84
ALLOC_STATUS: Final = 87
ALLOC_REJ_CODE: Final = 88
CXL_REJ_REASON: Final = 102
ORD_REJ_REASON: Final = 103
NO_MISC_FEES: Final = 136
MISC_FEE_AMT: Final = 137
MISC_FEE_CURR: Final = 138
MISC_FEE_BASIS: Final = 891
EXEC_TYPE: Final = 150
LEAVES_QTY: Final = 151
SECURITY_TYPE: Final = 167
REF_MSG_TYPE: Final = 372
EXEC_RESTATEMENT_REASON: Final = 378
BUSINESS_REJECT_REF_ID: Final = 379
BUSINESS_REJECT_REASON: Final = 380
BID_TYPE: Final = 394
LIST_STATUS_TYPE: Final = 429
LIST_ORDER_STATUS: Final = 431
CXL_REJ_RESPONSE_TO: Final = 434
PRODUCT: Final = 460
COMM_CURRENCY: Final = 479
MASS_STATUS_REQ_ID: Final = 584
MASS_STATUS_REQ_TYPE: Final = 585
ALLOC_TYPE: Final = 626
ALLOC_REPORT_ID: Final = 755
ORD_STATUS_REQ_ID: Final = 790
ALLOC_REPORT_TYPE: Final = 794
ALLOC_CANC_REPLACE_REASON: Final = 796
COPY_MSG_INDICATOR: Final = 797
ALLOC_NO_ORDERS_TYPE: Final = 857
TOT_NUM_REPORTS: Final = 911
LAST_RPT_REQUESTED: Final = 912

# Message types.
NEW_ORDER: Final = "D"
NEW_LIST: Final = "E"
CANCEL: Final = "F"
REPLACE: Final = "G"
STATUS: Final = "H"
MASS_STATUS: Final = "AF"
EXECUTION_REPORT: Final = "8"
CANCEL_REJECT: Final = "9"
LIST_STATUS: Final = "N"
ALLOCATION: Final = "J"
ALLOCATION_ACK: Final = "P"
ALLOCATION_REPORT: Final = "AS"
BUSINESS_REJECT: Final = "j"
SESSION_REJECT: Final = "3"

SIDES: Final[Mapping[Side, str]] = {Side.BUY: "1", Side.SELL: "2"}
ORDER_TYPES: Final[Mapping[OrderType, str]] = {OrderType.MARKET: "1", OrderType.LIMIT: "2"}
TIMES_IN_FORCE: Final[Mapping[TimeInForce, str]] = {
    TimeInForce.DAY: "0",
    TimeInForce.IMMEDIATE_OR_CANCEL: "3",
    TimeInForce.FILL_OR_KILL: "4",
    TimeInForce.AT_THE_OPENING: "2",
    TimeInForce.AT_THE_CLOSE: "7",
}
# OrdStatus <39> of the states that a venue can have; the order of a dict is that of the field's definition.
ORD_STATUSES: Final[Mapping[OrderState, str]] = {
    OrderState.NEW: "0",
    OrderState.PARTIALLY_FILLED: "1",
    OrderState.FILLED: "2",
    OrderState.DONE_FOR_DAY: "3",
    OrderState.CANCELED: "4",
    OrderState.PENDING_CANCEL: "6",
    OrderState.STOPPED: "7",
    OrderState.REJECTED: "8",
    OrderState.SUSPENDED: "9",
    OrderState.PENDING_NEW: "A",
    OrderState.CALCULATED: "B",
    OrderState.EXPIRED: "C",
    OrderState.PENDING_REPLACE: "E",
}

# OrdRejReason <103>.
REASON_UNKNOWN_SYMBOL: Final = "1"
REASON_UNKNOWN_ORDER: Final = "5"
REASON_DUPLICATE: Final = "6"
# CommType <13>: for each unit, in percent of the value, absolute.
COMMISSION_PER_UNIT: Final = "1"
COMMISSION_PERCENT: Final = "2"
COMMISSION_ABSOLUTE: Final = "3"
# Of pairs of currencies: Product <460> CURRENCY, SecurityType <167> foreign exchange contract.
PRODUCT_CURRENCY: Final = "4"
SECURITY_TYPE_FOREIGN_EXCHANGE: Final = "FOR"
