"""What visitors may ask for; a form that is valid can be submitted."""

from celery.result import AsyncResult
from django import forms

from django_site import taskgate
from django_site.tasks import shout

#: The greatest whole number that JSON readers in every language hold exactly.
_EXACT = 2**53 - 1


class AddForm(forms.Form):
    """Runs at Taskgate."""

    a = forms.IntegerField(min_value=-_EXACT, max_value=_EXACT)
    b = forms.IntegerField(min_value=-_EXACT, max_value=_EXACT)

    def submit(self) -> AsyncResult:
        """Queue the job."""
        return taskgate.add(**self.cleaned_data)


class ShoutForm(forms.Form):
    """Runs on the site's own worker."""

    text = forms.CharField(max_length=200)

    def submit(self) -> AsyncResult:
        """Queue the job."""
        return shout.delay(**self.cleaned_data)
