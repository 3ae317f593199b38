"""The smallest and the largest value of a field, which several properties may hold."""

from msgspec import Struct

from service.models import FieldType, Scalar
from service.stores.weaviate.calls import Calls
from service.stores.weaviate.fields import EXACT, date_of, digits_of, integer_of
from service.stores.weaviate.filters import both, equal


class Field(Struct, frozen=True):
    """A field of one generation of a collection."""

    calls: Calls
    name: str
    tenant: str
    field: str
    type: FieldType

    async def bounds(self) -> tuple[Scalar, Scalar] | None:
        """Return the smallest and the largest value; None where no passage has one."""
        digits = [digit.name for digit in digits_of(self.field, self.type)]
        is_whole = self.type != "number"
        first = await self.calls.extremes(self.name, self.tenant, digits[0], None, is_whole=is_whole)
        if first is None:
            return None
        if not is_whole:
            return first.smallest, first.largest
        return (
            await self._value(digits, int(first.smallest), is_largest=False),
            await self._value(digits, int(first.largest), is_largest=True),
        )

    async def _value(self, names: list[str], first: int, *, is_largest: bool) -> Scalar:
        """Find the further digits among the passages that share the first ones; an absent digit is zero."""
        if self.type == "integer" and abs(first) < EXACT:
            return first
        digits = [first]
        for place in range(1, len(names)):
            alike = both(*(equal(names[number], digits[number]) for number in range(place)))
            found = await self.calls.extremes(self.name, self.tenant, names[place], alike, is_whole=True)
            if found is None or (
                not is_largest and found.count < await self.calls.count(self.name, self.tenant, alike)
            ):
                digits.append(0)
            else:
                digits.append(int(found.largest if is_largest else found.smallest))
        return integer_of(tuple(digits)) if self.type == "integer" else date_of(tuple(digits))
